"""What an organisation keeps running: the participant, which trains, and the validator, which aggregates.

Agents keep almost nothing themselves: what is to do next follows from the ledger, so that one that was killed goes on
where it stopped.
"""
