"""What `apex-rtm doctor` looks at: each module is one area, each check one question with its remedy."""
