"""The names of the providers in the price list, so that a configuration can be checked without loading it."""

from __future__ import annotations

PROVIDERS = (
    "anthropic", "arcee", "avian", "aws", "azure", "baseten", "cerebras", "cloudflare", "cohere", "cursor", "databricks",
    "deepseek", "doubleword", "elevenlabs", "fireworks", "github-copilot", "google", "groq", "huggingface_cerebras",
    "huggingface_fireworks-ai", "huggingface_groq", "huggingface_hyperbolic", "huggingface_nebius", "huggingface_novita",
    "huggingface_nscale", "huggingface_ovhcloud", "huggingface_publicai", "huggingface_sambanova", "huggingface_together",
    "meta", "minimax", "mistral", "modal", "moonshotai", "novita", "openai", "openai-decisions", "openrouter", "ovhcloud",
    "perplexity", "quicksilverpro", "together", "typesafe", "voyageai", "x-ai", "zai", "zhipuai",
)  # fmt: skip
