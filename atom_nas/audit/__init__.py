"""The audit: does a proxy rank candidates as full-data training does, and is it worth its cost?"""
