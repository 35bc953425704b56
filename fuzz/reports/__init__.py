"""What a run leaves for others to read: JSON lines, Markdown, a page, annotations."""
