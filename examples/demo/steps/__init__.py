"""The demo's steps, one file each. Each may be run again: what is done stays done."""
