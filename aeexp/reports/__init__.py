"""Many runs compared, told and drawn."""
