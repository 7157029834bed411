import { configDirectories, findNamedFile } from '../../../config/find-config-file.ts'
import { readConfigText } from '../../../config/load-yaml.ts'
import { parseTemplate, type Template } from './template.ts'

/**
 * Loads a template by its name, a file under `templates/vyos` of the current directory, the user's or vmr's own, or by
 * its path.
 *
 * @throws VmrError CONFIG_NOT_FOUND with the names there are; CONFIG_INVALID as parseTemplate does
 */
export async function loadTemplate(nameOrPath: string): Promise<Template> {
  const file = await findNamedFile(configDirectories('templates/vyos'), nameOrPath, {
    extensions: ['set'],
    notFound: (shown) => `there is no VyOS template ${shown}`,
  })
  return parseTemplate(await readConfigText(file), file)
}
