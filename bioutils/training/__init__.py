"""Fine-tuning: settings, the HF Trainer, its callbacks."""
