/** Second factors and recovery codes, each person under the policies of their own rows. */
import { statement } from '../statement.ts';

/** Values: person. Holds their row until the transaction ends, so that changes of one person's factor come one after another. */
export const holdPerson = statement<{ email: string }>(
  'hold_person',
  'select email from users where id = $1::uuid for no key update',
);

/** A time-based factor as stored. */
export interface FactorRow {
  readonly id: string;
  readonly secret_ciphertext: Buffer;
  readonly key_id: string;
}

/** The newest. Values: person, `pending` or `active`. */
export const factorInState = statement<FactorRow>(
  'factor_in_state',
  `select id, secret_ciphertext, key_id from totp_factors
    where user_id = $1::uuid and status = $2 order by created_at desc, id desc limit 1`,
);

/** Values: person. */
export const deletePendingFactors = statement<Record<string, never>>(
  'delete_pending_factors',
  `delete from totp_factors where user_id = $1::uuid and status = 'pending'`,
);

/** Values: id, person, sealed secret, name of the key that opens it. */
export const insertFactor = statement<Record<string, never>>(
  'insert_factor',
  'insert into totp_factors (id, user_id, secret_ciphertext, key_id) values ($1::uuid, $2::uuid, $3::bytea, $4)',
);

/** Values: id, the step of the code that confirmed it. */
export const activateFactor = statement<{ id: string }>(
  'activate_factor',
  `update totp_factors set status = 'active', confirmed_at = now(), last_used_step = $2::bigint
    where id = $1::uuid and status = 'pending' returning id`,
);

/** Compare and set: no row when that step or a later one was used, or the factor is off. Values: id, step. */
export const useStep = statement<{ id: string }>(
  'use_totp_step',
  `update totp_factors set last_used_step = $2::bigint
    where id = $1::uuid and status = 'active' and (last_used_step is null or last_used_step < $2::bigint) returning id`,
);

/** With its secret. Values: id. */
export const deleteFactor = statement<Record<string, never>>(
  'delete_factor',
  'delete from totp_factors where id = $1::uuid',
);

/** Values: person. */
export const deleteRecoveryCodes = statement<Record<string, never>>(
  'delete_recovery_codes',
  'delete from recovery_codes where user_id = $1::uuid',
);

/** Values: person, hashes. */
export const insertRecoveryCodes = statement<Record<string, never>>(
  'insert_recovery_codes',
  'insert into recovery_codes (user_id, code_hash) select $1::uuid, c.hash from unnest($2::varchar[]) as c(hash)',
);

/** No row for a wrong or a used one. Values: person, hash. */
export const useRecoveryCode = statement<{ id: string }>(
  'use_recovery_code',
  `update recovery_codes set used_at = now()
    where user_id = $1::uuid and code_hash = $2 and used_at is null returning id`,
);
