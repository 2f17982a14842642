"""All that speaks to Numerai: client, calendar, schema of its files, rules of submission."""
