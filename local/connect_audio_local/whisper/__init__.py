"""A server that speaks OpenAI's `/v1/audio/transcriptions`, in the dialects of the servers that teams run."""
