-- Says what the columns of the audit view are.

comment on column ledger_error.account_id is 'The account that does not add up.';
comment on column ledger_error.balance is 'Balance as the account has it.';
comment on column ledger_error.added is 'Money ever added, as the account has it.';
comment on column ledger_error.entries is 'Balance as its entries make it.';
comment on column ledger_error.entries_added is 'Money ever added, as its entries make it.';
