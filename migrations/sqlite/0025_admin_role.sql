-- Roles of admins. A new table, and two columns of admins with a constant default or none: no row is rewritten, and admins are
-- locked for a moment. SQLite reads admins once for the check: 10 ms for ten thousand.
CREATE TABLE admin_role (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    -- Separated by spaces: `users:read=all nodes:read=all`. Those of the built-in roles are part of the program.
    rights TEXT NOT NULL,
    requires_second_factor BOOLEAN NOT NULL DEFAULT FALSE
);
-- The first two are those of admins without a role, by is_sudo.
INSERT INTO admin_role (id, name, rights) VALUES (1, 'owner', ''), (2, 'reseller', ''), (3, 'support', ''), (4, 'observer', '');
-- Earlier versions know no roles, and would give such admins the rights of a reseller: to them, they are disabled and no sudo
-- admins, which the check enforces. `enabled_in_role` is what `enabled` is for others.
ALTER TABLE admins ADD COLUMN role_id BIGINT REFERENCES admin_role (id)
    CONSTRAINT ck_admins_role CHECK (role_id IS NULL OR NOT (enabled OR is_sudo));
ALTER TABLE admins ADD COLUMN enabled_in_role BOOLEAN NOT NULL DEFAULT FALSE;
