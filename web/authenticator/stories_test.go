package authenticator_test

import (
	"testing"

	"github.com/sallyport/sallyport/test/harness"
)

// stories are what people do with the page, all in one browser: starting one takes longer than a story.
type stories struct {
	*harness.Browser
}

func TestPhone(t *testing.T) {
	b := stories{harness.StartChromium(t)}
	for _, story := range []struct {
		name string
		run  func(stories, *testing.T)
	}{
		{"a new phone says what to do", (stories).aNewPhoneSaysWhatToDo},
		{"enrol by opening the link", (stories).enrolByOpeningTheLink},
		{"enrol by serial number and code", (stories).enrolBySerialNumberAndCode},
		{"token code is oathtools", (stories).tokenCodeIsOathtools},
		{"the right code in spite of a wrong clock", (stories).theRightCodeInSpiteOfAWrongClock},
		{"keys cannot be read out", (stories).keysCannotBeReadOut},
		{"reload keeps the account", (stories).reloadKeepsTheAccount},
		{"a second account beside the first", (stories).aSecondAccountBesideTheFirst},
		{"enrolments that do not succeed leave nothing", (stories).enrolmentsThatDoNotSucceedLeaveNothing},
		{"a link that another device used", (stories).aLinkThatAnotherDeviceUsed},
		{"a link of another service is opened there", (stories).aLinkOfAnotherServiceIsOpenedThere},
		{"a reload while the company checks", (stories).aReloadWhileTheCompanyChecks},
		{"removing an account asks first", (stories).removingAnAccountAsksFirst},
		{"a device that the company removed says so", (stories).aDeviceThatTheCompanyRemovedSaysSo},
		{"without a network the codes still work", (stories).withoutANetworkTheCodesStillWork},
		{"approve with the number", (stories).approveWithTheNumber},
		{"enter sends the number", (stories).enterSendsTheNumber},
		{"deny", (stories).deny},
		{"this was not me explains then reports", (stories).thisWasNotMeExplainsThenReports},
		{"without number matching one touch is enough", (stories).withoutNumberMatchingOneTouchIsEnough},
		{"a challenge that expires", (stories).aChallengeThatExpires},
		{"a challenge that is cancelled", (stories).aChallengeThatIsCancelled},
		{"a newer challenge takes the place of the older", (stories).aNewerChallengeTakesThePlaceOfTheOlder},
		{"two accounts ask one after the other", (stories).twoAccountsAskOneAfterTheOther},
		{"answer later from the home screen", (stories).answerLaterFromTheHomeScreen},
		{"an answer whose receipt got lost is sent again the same", (stories).anAnswerWhoseReceiptGotLostIsSentAgainTheSame},
		{"a receipt that never comes is said plainly", (stories).aReceiptThatNeverComesIsSaidPlainly},
		{"details that somebody edited are not shown", (stories).detailsThatSomebodyEditedAreNotShown},
		{"what is shown is text and nothing else", (stories).whatIsShownIsTextAndNothingElse},
		{"the sheet is usable by keyboard and at phone width", (stories).theSheetIsUsableByKeyboardAndAtPhoneWidth},
		{"a push wakes the page", (stories).aPushWakesThePage},
		{"a push address that was forgotten is replaced", (stories).aPushAddressThatWasForgottenIsReplaced},
	} {
		t.Run(story.name, func(t *testing.T) { story.run(b, t) })
	}
}
