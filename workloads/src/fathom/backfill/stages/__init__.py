"""What the pods of a Backfill do, one module a stage; `command` is what the command line calls.

All stages share one folder (`folders`): the gallery that is searched, what makes both models comparable, and
notes that one stage leaves for the next. Each can be killed at any moment and be run again.
"""
