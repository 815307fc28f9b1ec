/** The signed-in person's own row and organizations. */
import type { Role } from '@novax/contracts/permissions';
import { statement } from '../statement.ts';

/** No values: the policy leaves one row, the caller's own. */
export const getSelf = statement<{
  id: string;
  email: string;
  username: string;
  email_verified: boolean;
  second_factor: boolean;
  status: 'active' | 'suspended' | 'deleted';
  profile_metadata: Record<string, never>;
  created_at: string;
  organizations: { id: string; name: string; slug: string; role: Role }[];
}>(
  'get_self',
  `select u.id, u.email, u.username, u.email_verified_at is not null as email_verified, u.status,
          exists (select from totp_factors f where f.user_id = u.id and f.status = 'active') as second_factor,
          u.profile_metadata, u.created_at,
          coalesce((select jsonb_agg(jsonb_build_object('id', o.id, 'name', o.name, 'slug', o.slug, 'role', m.role) order by o.created_at, o.id)
                      from app.memberships m join organizations o on o.id = m.org_id
                     where m.user_id = u.id and o.status <> 'deleted'), '[]') as organizations
     from users u where u.id = $1::uuid`,
);
