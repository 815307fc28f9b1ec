/** How every mail looks: one column of plain sentences and at most one button, as text and as HTML. */

/** What a mail says; all of it text, nothing of it markup. */
export interface MailContent {
  readonly subject: string;
  readonly heading: string;
  readonly paragraphs: readonly string[];
  /** Null for notices. */
  readonly action: { readonly label: string; readonly url: string } | null;
  /** Below a line: why one gets this, and what to do if it was a mistake. */
  readonly footer: string;
}

/** Renders a mail twice; names in it may hold anything and change neither markup nor headers. */
export function layout(content: MailContent): { subject: string; text: string; html: string } {
  const { heading, paragraphs, action, footer } = content;
  const text = [heading, ...paragraphs, ...(action === null ? [] : [`${action.label}:\n${action.url}`]), '--', footer];
  return { subject: content.subject.replace(/\s+/g, ' ').trim(), text: `${text.join('\n\n')}\n`, html: page(content) };
}

function page({ subject, heading, paragraphs, action, footer }: MailContent): string {
  const lines = paragraphs.map((line) => `<p style="margin:0 0 16px">${escaped(line)}</p>`).join('\n');
  // Mail programs ignore style sheets, so every element carries its own.
  const button =
    action === null
      ? ''
      : `<p style="margin:24px 0"><a href="${escaped(action.url)}" style="display:inline-block;padding:12px 20px;border-radius:6px;background:#1f4fd8;color:#ffffff;text-decoration:none;font-weight:600">${escaped(action.label)}</a></p>
<p style="margin:0 0 16px;font-size:13px;color:#5b6472">If the button does nothing, open this address:<br><span style="word-break:break-all">${escaped(action.url)}</span></p>`;
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escaped(subject)}</title></head>
<body style="margin:0;padding:24px;background:#f3f4f7;color:#1c2330;font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif">
<div style="max-width:520px;margin:0 auto;padding:32px;border-radius:10px;background:#ffffff">
<h1 style="margin:0 0 16px;font-size:20px;line-height:1.3">${escaped(heading)}</h1>
${lines}
${button}
<p style="margin:24px 0 0;padding-top:16px;border-top:1px solid #e3e6ec;font-size:13px;color:#5b6472">${escaped(footer)}</p>
</div>
</body>
</html>
`;
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? '');
}
