"""The steps of an InterestMap: tasks in, sealed folders out; what they compute is in `fathom.serendipity`."""
