import { byId } from '../shared/dom'
import { FormBox } from './form'

const place = byId('form')
const form = new FormBox(window, place)
new ResizeObserver(() => form.resized()).observe(place)
form.start()
