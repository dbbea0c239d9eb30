import { linksFromPath } from './link'
import { Page } from './page'

void new Page(linksFromPath(location.pathname)).open()
