"""Systems compared on the same clips: walking rooms and public sets, tables and plots."""
