"""`kubectl fathom`: what a rollout does, and what it shall do."""
