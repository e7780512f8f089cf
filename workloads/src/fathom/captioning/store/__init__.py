"""What a captioning run keeps: plans, shards, history, and views of them."""
