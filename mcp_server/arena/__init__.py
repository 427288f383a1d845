"""What is measured and under which rules: program.md with its front matter, styles of research, the prepared corpus."""
