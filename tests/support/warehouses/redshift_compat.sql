-- What dbt-redshift expects of a Redshift database, put into pg_catalog because it names that schema.
-- Shapes are those that dbt-redshift reads; what PostgreSQL has no notion of is null.

create function pg_catalog.getdate() returns timestamp language sql stable
    as $$ select date_trunc('second', clock_timestamp() at time zone 'UTC')::timestamp $$;

create function pg_catalog.dateadd(part text, amount numeric, moment timestamp) returns timestamp
    language sql immutable as $$
    select moment + case lower(part)
        when 'quarter' then amount * interval '3 months'
        else amount * ('1 ' || part)::interval
    end
    $$;

-- Redshift counts the boundaries crossed, not the time elapsed.
create function pg_catalog.datediff(part text, first timestamp, last timestamp) returns bigint
    language sql immutable as $$
    select case lower(part)
        when 'year' then years
        when 'quarter' then years * 4 + extract(quarter from last) - extract(quarter from first)
        when 'month' then years * 12 + extract(month from last) - extract(month from first)
        when 'week' then (extract(epoch from date_trunc('week', last + interval '1 day')
            - date_trunc('week', first + interval '1 day')) / 604800)
        else extract(epoch from date_trunc(part, last) - date_trunc(part, first))
            / extract(epoch from ('1 ' || part)::interval)
    end::bigint
    from (select extract(year from last) - extract(year from first) as years) as difference
    $$;

create function pg_catalog.strtol(digits text, base integer) returns bigint language sql immutable
    as $$ select case base when 16 then ('x' || lpad(digits, 16, '0'))::bit(64)::bigint end $$;

create function pg_catalog.len(value text) returns integer language sql immutable
    as $$ select length(value) $$;

-- Late binding and external tables don't exist here, so both lists are empty.
create function pg_catalog.pg_get_late_binding_view_cols() returns setof record language plpgsql stable
    as $$ begin return; end $$;

create view pg_catalog.svv_external_columns as
select null::text as schemaname, null::text as tablename, null::text as columnname,
    null::text as external_type, null::integer as columnnum, null::integer as part_key,
    null::text as is_nullable
where false;

-- Sizes are in blocks of 1 MB. As on Redshift, a table without rows is not listed.
create view pg_catalog.svv_table_info as
select current_database()::text as database, n.nspname::text as schema, c.oid as table_id,
    c.relname::text as "table", 'N'::text as encoded, 'AUTO(ALL)'::text as diststyle,
    null::text as sortkey1, null::integer as max_varchar, null::text as sortkey1_enc, 0 as sortkey_num,
    ceil(pg_total_relation_size(c.oid) / 1048576.0)::bigint as size, 0::numeric(10, 4) as pct_used,
    null::numeric(5, 2) as unsorted, 0::numeric(5, 2) as stats_off,
    greatest(c.reltuples, 0)::numeric(38, 0) as tbl_rows, null::numeric(19, 2) as skew_sortkey1,
    null::numeric(19, 2) as skew_rows
from pg_class as c
inner join pg_namespace as n on n.oid = c.relnamespace
where c.relkind = 'r' and pg_relation_size(c.oid) > 0
    and n.nspname not in ('pg_catalog', 'information_schema');

-- What is at work now, and what a transaction that is still open did last; the rest is not kept. A transaction has no
-- number here before it writes, so its beginning stands for it.
create view pg_catalog.sys_query_history as
select usesysid::integer as user_id, null::bigint as query_id, null::text as query_label,
    (extract(epoch from xact_start) * 1000000)::bigint as transaction_id, pid as session_id,
    datname::text as database_name, null::text as query_type,
    case state when 'active' then 'running' else 'success' end as status, query as query_text,
    query_start as start_time
from pg_stat_activity
where state in ('active', 'idle in transaction');

create view pg_catalog.svv_transactions as
select usename::text as txn_owner, datname::text as txn_db, (extract(epoch from xact_start) * 1000000)::bigint as xid,
    pid, xact_start::timestamp as txn_start, mode as lock_mode, locktype as lockable_object_type,
    relation::bigint::integer as relation, granted
from pg_stat_activity
inner join (select pid, mode, locktype, relation, granted from pg_locks) as locks using (pid)
where xact_start is not null;

create function pg_catalog.redshift_show_schemas(wanted_database text)
    returns table (database_name text, schema_name text, schema_owner text, schema_type text)
    language sql stable as $$
    select current_database()::text, nspname::text, pg_get_userbyid(nspowner)::text, 'local'::text
    from pg_namespace
    where current_database() = wanted_database and nspname !~ '^pg_(toast|temp)'
    $$;

create function pg_catalog.redshift_show_tables(wanted_database text, wanted_schema text)
    returns table (
        database_name text, schema_name text, table_name text, table_type text, table_acl text,
        remarks text, owner text, table_subtype text
    )
    language sql stable as $$
    select current_database()::text, wanted_schema, c.relname::text,
        case c.relkind when 'v' then 'VIEW' else 'TABLE' end, c.relacl::text,
        obj_description(c.oid, 'pg_class'), pg_get_userbyid(c.relowner)::text,
        case c.relkind when 'v' then 'REGULAR VIEW' else 'REGULAR TABLE' end
    from pg_class as c
    inner join pg_namespace as n on n.oid = c.relnamespace
    where current_database() = wanted_database and n.nspname = wanted_schema and c.relkind in ('r', 'v')
    $$;

create view pg_catalog.svv_redshift_columns as
select table_catalog::text as database_name, table_schema::text as schema_name,
    table_name::text as table_name, column_name::text as column_name,
    ordinal_position::integer as ordinal_position, data_type::text as data_type,
    column_default::text as column_default, is_nullable::text as is_nullable,
    character_maximum_length::integer as character_maximum_length,
    numeric_precision::integer as numeric_precision, numeric_scale::integer as numeric_scale,
    col_description(format('%I.%I', table_schema, table_name)::regclass, ordinal_position) as remarks
from information_schema.columns
where table_schema not in ('pg_catalog', 'information_schema');

create function pg_catalog.redshift_show_columns(wanted_database text, wanted_schema text, wanted_table text)
    returns setof pg_catalog.svv_redshift_columns language sql stable as $$
    select * from svv_redshift_columns
    where database_name = wanted_database and schema_name = wanted_schema and table_name = wanted_table
    order by ordinal_position
    $$;

create function pg_catalog.redshift_show_grants(wanted_database text, wanted_schema text, wanted_table text)
    returns table (
        database_name text, schema_name text, object_name text, object_type text, privilege_type text,
        identity_id bigint, identity_name text, identity_type text, admin_option boolean
    )
    language sql stable as $$
    select current_database()::text, wanted_schema, wanted_table, 'TABLE'::text, acl.privilege_type,
        acl.grantee::bigint, pg_get_userbyid(acl.grantee)::text, 'user'::text, acl.is_grantable
    from pg_class as c
    inner join pg_namespace as n on n.oid = c.relnamespace
    cross join aclexplode(c.relacl) as acl
    where current_database() = wanted_database and n.nspname = wanted_schema and c.relname = wanted_table
    $$;

grant select on pg_catalog.svv_external_columns, pg_catalog.svv_table_info, pg_catalog.svv_redshift_columns,
    pg_catalog.sys_query_history, pg_catalog.svv_transactions
to public;
