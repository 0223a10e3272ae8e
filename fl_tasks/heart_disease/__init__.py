"""Heart disease at four hospitals: the UCI data of 1988, kept apart as they were collected."""
