/** What each kind of mail says, how long its secret works, and where its link leads. */
import type { MailKind } from '@novax/db/queries/mails';
import type { MailContent } from './layout.ts';

/** What a mail is about, as it is known at the moment of sending. */
export interface MailSubject {
  readonly name: string;
  /** The link with its secret in it; empty for notices. */
  readonly url: string;
  /** When the secret ends, in words. */
  readonly until: string;
  readonly organization: string;
  readonly inviter: string;
  readonly role: string;
}

interface MailTemplate {
  /** Path of the app's page that takes the secret; null for notices. */
  readonly path: string | null;
  /** Life of the secret, seconds; an invitation's is its own. */
  readonly ttlS: number;
  readonly content: (subject: MailSubject) => MailContent;
}

const hourS = 60 * 60;
const notMe = 'If that was not you, choose a new password at once with “Forgot password” on the sign-in page.';

/** A template per kind; a new kind does not compile without one. */
export const templates: Readonly<Record<MailKind, MailTemplate>> = {
  'verify-email': {
    path: '/verify-email',
    ttlS: 24 * hourS,
    content: ({ name, url, until }) => ({
      subject: 'Confirm your e-mail address',
      heading: `Welcome to NovaX, ${name}`,
      paragraphs: [`Please confirm that this address is yours. The link works once, until ${until}.`],
      action: { label: 'Confirm address', url },
      footer: 'You get this because somebody gave this address to NovaX. If it was not you, do nothing.',
    }),
  },
  'reset-password': {
    path: '/reset-password',
    ttlS: hourS / 2,
    content: ({ name, url, until }) => ({
      subject: 'Choose a new password',
      heading: `A new password for ${name}`,
      paragraphs: [
        `Somebody asked for a new password for your account. The link works once, until ${until}.`,
        'Choosing one signs you out everywhere.',
      ],
      action: { label: 'Choose a new password', url },
      footer: 'If you did not ask for this, do nothing: your password stays as it is.',
    }),
  },
  'invitation': {
    path: '/accept-invitation',
    ttlS: 7 * 24 * hourS,
    content: ({ url, until, organization, inviter, role }) => ({
      subject: `${inviter} invites you to ${organization}`,
      heading: `Join ${organization}`,
      paragraphs: [
        `${inviter} invites you to work in ${organization} on NovaX, with the role “${role}”.`,
        `The link works once, until ${until}.`,
      ],
      action: { label: 'Accept the invitation', url },
      footer: 'If you do not know the sender, do nothing.',
    }),
  },
  'password-changed': notice('Your password was changed', 'The password of your account was just changed.'),
  'second-factor-changed': notice(
    'Your second factor was changed',
    'The second factor that guards your account was just turned on or off.',
  ),
  'account-linked': notice(
    'A way to sign in was added',
    'An account of an identity provider can now be used to sign in to yours.',
  ),
};

function notice(subject: string, sentence: string): MailTemplate {
  return {
    path: null,
    ttlS: 0,
    content: ({ name }) => ({
      subject,
      heading: subject,
      paragraphs: [`Hello ${name},`, sentence, 'If that was you, there is nothing to do.'],
      action: null,
      footer: notMe,
    }),
  };
}
