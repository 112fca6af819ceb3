"""The league: raw logs in five parquet files, made up, copied or asked for, checked, and laid into
SQLite.

Rules of this package: nothing here knows of tensors, lists or caches, and nothing imports
tensorcache; a result depends on the logs alone, never on the clock, the path or the machine.
`facts` holds what is known of the real league, `layout` the form of the files, `checks` what a
good league is, `database` the tables, `simulate` (with `schedule` and `boxes`) a made-up league,
`download` what the league's own site says, `report` what a person sees.
"""
