"""Which cases around a finding fail, the rule of it, and a picture."""
