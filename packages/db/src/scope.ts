/** Whose data a statement may see: the two settings every row-level policy reads. */

/** The caller as the database knows them. */
export interface Scope {
  /** `app.current_user_id`; null sees nothing as novax_api. */
  readonly userId: string | null;
  /** `app.current_org_id`; null leaves a person all their organizations. */
  readonly orgId: string | null;
}

/** The settings' values, user and then organization; the empty text reads as "not set" in every policy. */
export function scopeValues(scope: Scope): [string, string] {
  return [scope.userId ?? '', scope.orgId ?? ''];
}
