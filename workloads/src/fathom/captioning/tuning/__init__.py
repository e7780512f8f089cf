"""Teaching a captioner a domain: pairs, training, adapters, versions, and what came of it."""
