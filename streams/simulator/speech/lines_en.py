"""The lines of simulated talks in English."""

from __future__ import annotations

from typing import Final

from streams.simulator.speech.lines import Line, Lines, ObjectionLines

EN: Final = Lines(
    language="en",
    fillers=("you know", "I mean", "basically", "to be honest", "like", "sort of"),
    back_channels=("Uh-huh.", "Right.", "Yeah.", "I see."),
    names=("Anna", "Paul", "Grace", "Oliver", "Marie", "Sam"),
    products=("coffee for offices", "packaging", "accounting software", "work clothes", "machines for bakeries"),
    times=("on Thursday at ten", "tomorrow at three", "on Monday at eleven", "on Friday after lunch"),
    words=("house", "there", "which", "water", "later", "because", "many", "place", "end", "liars"),
    manager={
        "greeting": (
            Line("Good morning! My name is {name}, and we supply {product}."),
            Line("Hello, this is {name}. Our company makes {product}."),
        ),
        "permission": (
            Line("Is this a good time to talk?", ("yes_no",)),
            Line("Do you have two minutes?", ("yes_no",)),
        ),
        "need": (
            Line("Could you tell me how you buy it today?", ("open",)),
            Line("What matters most to you in a supplier?", ("open",)),
            Line("How much do you need in a month?", ("wh",)),
            Line("Who decides about deliveries in your company?", ("wh",)),
            Line("Do you work with one supplier or with several?", ("or",)),
            Line("How often do you place an order?", ("wh",)),
        ),
        "confirm": (
            Line(
                "So if I understand you right, the date matters more than the price?", ("declarative",), clarifying=True
            ),
            Line("You mean it happens every month, right?", ("tag",), clarifying=True),
            Line("You mentioned a warehouse. Where is it?", ("wh",), clarifying=True),
        ),
        "pain": (
            Line("What problems do you have with your current supplier?", ("open",)),
            Line("What happens when a delivery is late?", ("open",)),
            Line("How much does such a delay cost you?", ("wh",)),
        ),
        "presentation": (
            Line("We{f} deliver on the next day{f} and answer for every single batch."),
            Line("We have our own warehouse{f} and our own drivers, so delays hardly ever happen."),
            Line("The software{f} counts the stock itself{f} and reminds you when to order."),
            Line("More than two hundred companies of your city{f} work with us already."),
            Line("You get an account manager of your own{f} who knows your order by heart."),
            Line("If something does not fit{f}, we exchange it without any questions within two weeks."),
        ),
        "price": (
            Line("The price{f} comes to four hundred a month, and delivery is included."),
            Line("It would cost you{f} nine hundred for the whole set."),
            Line("I will send you{f} our proposal with all the prices by email."),
        ),
        "dated": (
            Line("Let me call you {time}, okay?", ("tag",)),
            Line("Let's talk again {time}, all right?", ("tag",)),
        ),
        "vague": (Line("Then I will call you back some time."), Line("Good, then we will talk later.")),
        "farewell": (Line("Thank you for your time, goodbye!"), Line("All the best, have a good day!")),
        "small_talk": (
            Line("We have{f} so much snow here today."),
            Line("I have{f} just come back from my holidays."),
        ),
    },
    customer={
        "greeting": (Line("Hello, speaking."), Line("Yes, good morning.")),
        "permission": (Line("Yes, go ahead."), Line("If it is short, please.")),
        "need": (
            Line("We order once a week, about thirty kilos or so."),
            Line("Most of all it has to come on time and with the right papers."),
            Line("I do that together with a colleague in the warehouse."),
            Line("That depends, but usually at the start of the month and before holidays."),
            Line("We used to have one, and now{f} we buy from two at once, that is safer."),
        ),
        "confirm": (Line("Yes, that is right."), Line("More or less, yes.")),
        "pain": (
            Line("Sometimes we wait for the lorry for two days, and people{f} sit there without work."),
            Line("Last month they mixed up half of the order, and we had to send it back."),
            Line("The papers come with mistakes, and the accountants complain every time."),
        ),
        "presentation": (Line("Interesting, and what is the guarantee?", ("wh",)), Line("That sounds good.")),
        "price": (Line("How much is it?", ("wh",)), Line("Is delivery included?", ("yes_no",))),
        "dated": (Line("That works for me."), Line("Okay, let's do that.")),
        "vague": (Line("We will think about it."), Line("Well, we will see.")),
        "refusal": (Line("No, thank you, that is not for us."), Line("No, we do not want that, thank you.")),
        "farewell": (Line("Goodbye."), Line("You too, bye.")),
        "small_talk": (Line("It has been snowing here for two days, too."), Line("Yes, that is the weather now.")),
    },
    objections={
        "price": ObjectionLines(
            said=(Line("That is too expensive for us."), Line("We can get it cheaper elsewhere.")),
            adequate=(
                Line("I understand. What do you compare it with?", ("wh",), clarifying=True),
                Line("I see, it is a lot of money. Let us look at what you would save in a year."),
            ),
            ignored=(Line("We also have a new catalogue."), Line("Well, that is a normal price.")),
        ),
        "timing": ObjectionLines(
            said=(
                Line("Now is not a good time, call me back in a month."),
                Line("We have no time for this right now."),
            ),
            adequate=(
                Line("I understand that you are busy. What will be different in a month?", ("open",), clarifying=True),
                Line("Sure, then I will send you the material ahead of time, so that you can look at it."),
            ),
            ignored=(Line("We also have a new catalogue."),),
        ),
        "competitor": ObjectionLines(
            said=(
                Line("We already work with another supplier."),
                Line("We have a supplier, and we are happy with them."),
            ),
            adequate=(
                Line("I understand. What do you like most about them?", ("open",), clarifying=True),
                Line("That is good. Many of our customers keep a second supplier as a backup."),
            ),
            ignored=(Line("We also have a new catalogue."),),
        ),
        "authority": ObjectionLines(
            said=(Line("I have to talk to my boss first."), Line("I am not the one who decides that.")),
            adequate=(
                Line("Of course. What will matter to your boss?", ("open",), clarifying=True),
                Line("I understand, let me prepare a short summary for your boss."),
            ),
            ignored=(Line("We also have a new catalogue."),),
        ),
        "need": ObjectionLines(
            said=(Line("We don't need that."), Line("We are not interested.")),
            adequate=(
                Line("I understand. How do you solve this today?", ("open",), clarifying=True),
                Line("I understand, many people told us that before they tried one batch."),
            ),
            ignored=(Line("We also have a new catalogue."),),
        ),
        "trust": ObjectionLines(
            said=(
                Line("I have never heard of your company."),
                Line("How do I know that you won't cheat me?", ("rhetorical",)),
            ),
            adequate=(
                Line("I understand your doubts. I will send you reviews of our customers and the contract."),
                Line("You are right to check. Let us begin with a trial batch without prepayment."),
            ),
            ignored=(Line("We also have a new catalogue."),),
        ),
    },
)
