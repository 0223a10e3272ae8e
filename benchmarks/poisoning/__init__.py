"""What attacks by a fifth of the participants do to a federated model, under known defences and under fedledger's."""
