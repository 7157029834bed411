/** Text that is HTML already. Everything else is escaped when it enters a page. */
export interface Markup {
  readonly html: string
}

type Content = Markup | string | number | undefined | readonly Content[]

const references: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function rendered(content: Content): string {
  if (content === undefined) return ''
  if (typeof content === 'string' || typeof content === 'number')
    return String(content).replace(/[&<>"']/g, (character) => references[character] ?? character)
  return 'html' in content ? content.html : content.map(rendered).join('')
}

/** A piece of a page: what is put in is escaped unless it was made by this function too. Attributes need quotes. */
export function markup(parts: TemplateStringsArray, ...contents: readonly Content[]): Markup {
  return { html: parts.map((part, index) => `${part}${rendered(contents[index])}`).join('') }
}
