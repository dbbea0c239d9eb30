import { Login } from './login'

new Login(window, document.referrer).start()
