"""Pictures of a call: waveform as SVG or PNG, spectrogram as PNG."""
