"""The demo: small models of all tasks on real digits, and a page of what they learnt."""
