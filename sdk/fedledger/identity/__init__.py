"""Who somebody is on a channel: keys, MSPs, enrolment, profiles; refuses keys that others can read."""
