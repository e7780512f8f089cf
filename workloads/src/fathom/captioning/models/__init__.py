"""Models: finding and opening checkpoints, the small one of ours, prompts and markup."""
