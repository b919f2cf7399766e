"""What happens beside training in every run."""
