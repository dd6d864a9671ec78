"""What is meant by a few typed words: names of teams, stadiums, cities, groups and stages, typing errors forgiven."""
