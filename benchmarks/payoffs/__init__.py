"""What each way of taking part earns on the contract itself."""
