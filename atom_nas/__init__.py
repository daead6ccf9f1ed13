"""Neural architecture search on distilled data proxies."""
