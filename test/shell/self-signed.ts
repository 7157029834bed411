import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { localShell } from '../../src/shell/local.ts'
import { runChecked } from '../../src/shell/shell.ts'

export interface Certificate {
  readonly key: string
  readonly cert: string
  /** SHA-256, as OpenSSL shows it. */
  readonly fingerprint: string
}

/** As ssl-cert of Debian makes one for VyOS. */
export async function makeCertificate(): Promise<Certificate> {
  const folder = await mkdtemp(join(tmpdir(), 'vmr-certificate-'))
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  try {
    await runChecked(localShell, [
      ...['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
      ...['-subj', '/CN=vyos', '-days', '1', '-keyout', key, '-out', cert],
    ])
    const shown = await runChecked(localShell, ['openssl', 'x509', '-in', cert, '-noout', '-fingerprint', '-sha256'])
    return {
      key: await readFile(key, 'utf8'),
      cert: await readFile(cert, 'utf8'),
      fingerprint: shown.trim().split('=')[1] ?? '',
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}
