package notice

import "github.com/sallyport/sallyport"

// wording is what a message says in one language.
type wording struct {
	added, removed         string // subjects
	addedText, removedText string
	account, what, when    string
	by                     string
	byUser                 string // whoever logged in
	byAdministrator        string
	you, notYou, machine   string
	// kinds name the authenticators; the asterisk of a phone number stands for its last two digits.
	kinds map[sallyport.AuthenticatorKind]string
}

var sentences = map[string]wording{
	"en": {
		added: "A second factor was added to your account", removed: "A second factor was removed from your account",
		addedText:   "A second factor was added to your account for remote access. Whoever has it, and your password, can log in as you.",
		removedText: "A second factor was removed from your account for remote access. It lets nobody in any more.",
		account:     "Account", what: "Second factor", when: "Time", by: "Done by", byUser: "whoever logged in with your password", byAdministrator: "an administrator or the help desk",
		you:     "If this was you, or you have asked for it, there is nothing to do.",
		notYou:  "If it was not you, somebody may know your password: call your help desk at once, by the number that you know, and change your password.",
		machine: "This message comes from a machine. Nobody reads answers to it, and it never asks for a password or a code.",
		kinds: map[sallyport.AuthenticatorKind]string{sallyport.AuthenticatorApp: "the app on a phone", sallyport.AuthenticatorPhone: "the phone number that ends in *",
			sallyport.AuthenticatorPasskey: "a passkey", sallyport.AuthenticatorOTP: "a token that shows codes"},
	},
	"es": {
		added: "Se ha añadido un segundo factor a su cuenta", removed: "Se ha quitado un segundo factor de su cuenta",
		addedText:   "Se ha añadido un segundo factor a su cuenta de acceso remoto. Quien lo tenga, junto con su contraseña, puede iniciar sesión en su nombre.",
		removedText: "Se ha quitado un segundo factor de su cuenta de acceso remoto. Ya no permite entrar a nadie.",
		account:     "Cuenta", what: "Segundo factor", when: "Hora", by: "Hecho por", byUser: "quien inició sesión con su contraseña", byAdministrator: "un administrador o el servicio de asistencia",
		you:     "Si ha sido usted, o si lo ha pedido, no tiene que hacer nada.",
		notYou:  "Si no ha sido usted, es posible que alguien conozca su contraseña: llame enseguida al servicio de asistencia, al número que usted ya conoce, y cambie su contraseña.",
		machine: "Este mensaje es automático. Nadie lee las respuestas, y nunca pide una contraseña ni un código.",
		kinds: map[sallyport.AuthenticatorKind]string{sallyport.AuthenticatorApp: "la aplicación en un teléfono", sallyport.AuthenticatorPhone: "el número de teléfono que termina en *",
			sallyport.AuthenticatorPasskey: "una clave de acceso", sallyport.AuthenticatorOTP: "un token que muestra códigos"},
	},
	"fr": {
		added: "Un second facteur a été ajouté à votre compte", removed: "Un second facteur a été retiré de votre compte",
		addedText:   "Un second facteur a été ajouté à votre compte d’accès à distance. Qui le possède, avec votre mot de passe, peut se connecter à votre place.",
		removedText: "Un second facteur a été retiré de votre compte d’accès à distance. Il ne permet plus à personne d’entrer.",
		account:     "Compte", what: "Second facteur", when: "Heure", by: "Fait par", byUser: "la personne qui s’est connectée avec votre mot de passe", byAdministrator: "un administrateur ou le service d’assistance",
		you:     "Si c’était vous, ou si vous l’avez demandé, il n’y a rien à faire.",
		notYou:  "Si ce n’était pas vous, quelqu’un connaît peut-être votre mot de passe : appelez tout de suite votre service d’assistance, au numéro que vous connaissez, et changez votre mot de passe.",
		machine: "Ce message est automatique. Personne ne lit les réponses, et il ne demande jamais de mot de passe ni de code.",
		kinds: map[sallyport.AuthenticatorKind]string{sallyport.AuthenticatorApp: "l’application sur un téléphone", sallyport.AuthenticatorPhone: "le numéro de téléphone qui se termine par *",
			sallyport.AuthenticatorPasskey: "une clé d’accès", sallyport.AuthenticatorOTP: "un jeton qui affiche des codes"},
	},
	"de": {
		added: "Ihrem Konto wurde ein zweiter Faktor hinzugefügt", removed: "Von Ihrem Konto wurde ein zweiter Faktor entfernt",
		addedText:   "Ihrem Konto für den Fernzugriff wurde ein zweiter Faktor hinzugefügt. Wer ihn und Ihr Passwort hat, kann sich als Sie anmelden.",
		removedText: "Von Ihrem Konto für den Fernzugriff wurde ein zweiter Faktor entfernt. Er lässt niemanden mehr hinein.",
		account:     "Konto", what: "Zweiter Faktor", when: "Zeit", by: "Durch", byUser: "wer sich mit Ihrem Passwort angemeldet hat", byAdministrator: "die Administration oder den Helpdesk",
		you:     "Wenn Sie das waren oder darum gebeten haben, ist nichts zu tun.",
		notYou:  "Wenn Sie das nicht waren, kennt vielleicht jemand Ihr Passwort: Rufen Sie sofort Ihren Helpdesk an, unter der Nummer, die Sie kennen, und ändern Sie Ihr Passwort.",
		machine: "Diese Nachricht kommt von einer Maschine. Niemand liest Antworten darauf, und sie fragt nie nach einem Passwort oder Code.",
		kinds: map[sallyport.AuthenticatorKind]string{sallyport.AuthenticatorApp: "die App auf einem Telefon", sallyport.AuthenticatorPhone: "die Telefonnummer, die auf * endet",
			sallyport.AuthenticatorPasskey: "ein Passkey", sallyport.AuthenticatorOTP: "ein Token, das Codes anzeigt"},
	},
	"ar": {
		added: "أُضيف عامل ثانٍ إلى حسابك", removed: "أُزيل عامل ثانٍ من حسابك",
		addedText:   "أُضيف عامل ثانٍ إلى حسابك للوصول عن بُعد. من يملكه ويعرف كلمة مرورك يستطيع تسجيل الدخول باسمك.",
		removedText: "أُزيل عامل ثانٍ من حسابك للوصول عن بُعد. لم يعد يتيح الدخول لأي شخص.",
		account:     "الحساب", what: "العامل الثاني", when: "الوقت", by: "قام به", byUser: "من سجّل الدخول بكلمة مرورك", byAdministrator: "أحد المسؤولين أو مكتب المساعدة",
		you:     "إذا كنت أنت من فعل ذلك أو طلبه، فلا داعي لفعل أي شيء.",
		notYou:  "إذا لم تكن أنت، فربما يعرف شخص ما كلمة مرورك: اتصل بمكتب المساعدة فورًا على الرقم الذي تعرفه، وغيّر كلمة مرورك.",
		machine: "هذه رسالة آلية. لا يقرأ أحد الردود عليها، وهي لا تطلب أبدًا كلمة مرور أو رمزًا.",
		kinds: map[sallyport.AuthenticatorKind]string{sallyport.AuthenticatorApp: "التطبيق على هاتف", sallyport.AuthenticatorPhone: "رقم الهاتف الذي ينتهي بـ *",
			sallyport.AuthenticatorPasskey: "مفتاح مرور", sallyport.AuthenticatorOTP: "جهاز يعرض رموزًا"},
	},
	"tr": {
		added: "Hesabınıza ikinci bir doğrulama yöntemi eklendi", removed: "Hesabınızdan ikinci bir doğrulama yöntemi kaldırıldı",
		addedText:   "Uzaktan erişim hesabınıza ikinci bir doğrulama yöntemi eklendi. Bu yönteme ve parolanıza sahip olan kişi sizin adınıza oturum açabilir.",
		removedText: "Uzaktan erişim hesabınızdan ikinci bir doğrulama yöntemi kaldırıldı. Artık kimsenin girmesini sağlamaz.",
		account:     "Hesap", what: "İkinci doğrulama yöntemi", when: "Zaman", by: "Yapan", byUser: "parolanızla oturum açan kişi", byAdministrator: "bir yönetici veya yardım masası",
		you:     "Bunu siz yaptıysanız veya istediyseniz yapmanız gereken bir şey yok.",
		notYou:  "Bunu siz yapmadıysanız birisi parolanızı biliyor olabilir: Yardım masanızı bildiğiniz numaradan hemen arayın ve parolanızı değiştirin.",
		machine: "Bu iletiyi bir makine gönderdi. Yanıtları kimse okumaz; bu ileti hiçbir zaman parola veya kod istemez.",
		kinds: map[sallyport.AuthenticatorKind]string{sallyport.AuthenticatorApp: "bir telefondaki uygulama", sallyport.AuthenticatorPhone: "* ile biten telefon numarası",
			sallyport.AuthenticatorPasskey: "bir geçiş anahtarı", sallyport.AuthenticatorOTP: "kod gösteren bir cihaz"},
	},
}
