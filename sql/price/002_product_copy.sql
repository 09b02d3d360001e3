-- The copy of products gets the name that it has in the order service's database, since the same
-- code (services/common/product_copy.c) keeps both.

alter table product rename to product_copy;
alter index product_pkey rename to product_copy_pkey;

-- Replicas of the version before go on with the old name until they have been replaced.
create view product as select product_id, archived, version from product_copy;

comment on view product is
    'product_copy by its former name, for programs of the version before; can be inserted into.';
comment on column product.product_id is 'Identifier of the product.';
comment on column product.archived is 'No longer sold: its prices can''t be changed.';
comment on column product.version is
    'Version of the product this row shows; an event with a lower one is ignored.';
