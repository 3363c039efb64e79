"""The sample reports: what they say, and how they are drawn."""
