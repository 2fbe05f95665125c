# tests/transcripts
