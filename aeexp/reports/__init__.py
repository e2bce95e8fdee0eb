"""Many runs compared, described and drawn."""
