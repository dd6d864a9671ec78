from matchday.cli import main

main()
