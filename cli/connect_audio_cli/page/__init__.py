"""The call page: one HTML file on which a call is seen and listened to, from the disk and without a network."""
