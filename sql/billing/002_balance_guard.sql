-- A balance can't change without the ledger entry that accounts for it, whoever changes it.

create function check_balance() returns trigger
language plpgsql
as $$
declare
    current_balance numeric;
    posted_balance numeric;
begin
    select balance into current_balance from account where account_id = new.account_id;
    select balance_after into posted_balance
      from ledger_entry
     where account_id = new.account_id
     order by entry_id desc
     limit 1;
    if current_balance <> coalesce(posted_balance, 0) then
        raise exception 'the balance of account % is %, its ledger says %',
            new.account_id, current_balance, coalesce(posted_balance, 0)
            using errcode = 'integrity_constraint_violation',
                  hint = 'Move money by post_entry().';
    end if;
    return null;
end
$$;
comment on function check_balance() is
    'Trigger, at commit: the balance is that of the account''s last ledger entry.';

create constraint trigger account_balance_posted
    after insert or update of balance on account
    deferrable initially deferred
    for each row execute function check_balance();

create constraint trigger ledger_entry_balance_posted
    after insert on ledger_entry
    deferrable initially deferred
    for each row execute function check_balance();
