"""Contracts that nobody signed, with risky clauses planted in them: what the checklist is tried on.

A stand-in for contracts of your own (README). Each flag has phrasings that are planted, others that only the exam
plants, and twins: harmless clauses with the same words. Every phrasing and every twin is planted equally often, so the
luck of a draw is small. No program under test may read this file.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from units import Draw

PARTIES = (
    "Northwind Supplies",
    "Calder & Sons",
    "Orchard Systems",
    "Halden Freight",
    "Brightwater Labs",
    "Vance Media",
)

# flag: (phrasings, phrasings of the exam, harmless twins)
FLAGS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "auto_renewal": (
        ("This Agreement renews automatically for a further term of {years} years unless the Customer objects in "
         "writing {days} days before it ends.",
         "Unless notice is received {days} days before expiry, the term shall be extended by {years} years.",
         "At the end of each term the contract continues for another {years} years without further action.",
         "The subscription is prolonged tacitly by {years} years at a time where it has not been cancelled {days} days "
         "beforehand."),
        ("Silence of the Customer {days} days before the last day is taken as consent to {years} more years.",),
        ("This Agreement does not renew automatically and ends on the date given above.",
         "Invoices are sent automatically on the first working day of each month.",
         "The term may be extended by {years} years if both parties sign an addendum."),
    ),
    "unlimited_liability": (
        ("The Customer shall be liable without limitation for any loss of the Supplier arising from this Agreement.",
         "Nothing in this Agreement caps what the Customer owes the Supplier for damages of any kind.",
         "The Customer indemnifies the Supplier against all claims whatsoever, in whatever amount.",
         "The liability of the Customer is unlimited, also for indirect and consequential damage."),
        ("The Customer answers to the Supplier with all its assets for every harm that follows from the services.",),
        ("The liability of the Customer is limited to {money} in each calendar year.",
         "The licence covers an unlimited number of users at the Customer's sites.",
         "The Supplier is liable without limitation for damage that it causes on purpose."),
    ),
    "one_sided_termination": (
        ("The Supplier may terminate this Agreement at any time and without cause; the Customer may not.",
         "Only the Supplier has a right to end the contract before the term is over.",
         "The Supplier can withdraw with {days} days' notice, while the Customer is bound until the end of the term.",
         "The Customer waives any right to terminate early; that of the Supplier remains untouched."),
        ("The contract can be ended before its time by the Supplier alone.",),
        ("Either party may terminate this Agreement with {days} days' notice.",
         "The Customer may terminate at any time; the Supplier only for good cause.",
         "Both parties waive any right to terminate during the first {days} days."),
    ),
    "exclusivity": (
        ("During the term the Customer shall obtain such goods exclusively from the Supplier.",
         "The Customer must not buy comparable services from anybody but the Supplier.",
         "The Customer undertakes to cover its entire demand with the Supplier.",
         "Purchases from third parties are not permitted to the Customer while this contract runs."),
        ("No other vendor may serve the Customer in this field until the term is over.",),
        ("All prices are exclusive of value added tax.",
         "The Customer may buy comparable services from anybody, at any time.",
         "The Supplier has the exclusive duty to keep its own staff insured."),
    ),
    "rights_in_work": (
        ("All work results, including those made by the Customer, become the property of the Supplier.",
         "The Customer assigns to the Supplier all intellectual property that it creates for the services.",
         "Improvements which the Customer makes shall belong to the Supplier without payment.",
         "Title to everything that is developed under this Agreement, by whomever, vests in the Supplier."),
        ("Whatever the Customer invents while it uses the services is the Supplier's from the outset.",),
        ("All work results become the property of the Customer upon payment.",
         "Each party keeps the intellectual property that it had before.",
         "The Customer assigns a contact person to the Supplier within {days} days."),
    ),
    "price_change": (
        ("The Supplier may adjust its prices at any time and at its sole discretion.",
         "Fees can be raised by the Supplier without notice.",
         "The Supplier is entitled to increase the remuneration by an amount that it deems fit.",
         "Prices follow the Supplier's list as it stands on the day of the invoice, which it may change as it likes."),
        ("What is owed each month is set by the Supplier anew whenever it sees reason to.",),
        ("Prices are fixed for the whole term and may not be adjusted.",
         "The Supplier may adjust its delivery dates by up to {days} days.",
         "An increase of the fees takes a written agreement of both parties."),
    ),
    "data_resale": (
        ("The Supplier may pass on data of the Customer to third parties for their own purposes.",
         "The Customer agrees that its data are used by partners of the Supplier for advertising.",
         "The Supplier is allowed to sell usage data of the Customer.",
         "Records of the Customer may be shared with whomever the Supplier chooses."),
        ("The Supplier may trade what it learns about the Customer and its clients.",),
        ("The Supplier must not pass on data of the Customer to third parties.",
         "The Supplier may not sell or rent out any data, nor use them for advertising.",
         "The parties share the cost of the data line in equal parts."),
    ),
    "far_court": (
        ("The courts at the Supplier's seat abroad have sole jurisdiction, and its law applies.",
         "Disputes are decided exclusively by arbitration in a place which the Supplier names.",
         "The Customer may sue only before the courts of the Supplier's home country.",
         "Any action must be brought in the Supplier's own country and under the law of that country."),
        ("Whoever has a quarrel with the Supplier has to pursue it where the Supplier has its seat overseas.",),
        ("The courts at the Customer's seat have jurisdiction.",
         "Disputes are first discussed between the managers of both parties.",
         "The law of the country in which the goods are delivered applies."),
    ),
}  # fmt: skip
FILLERS = (
    "The Supplier delivers the goods named in Annex {n} within {days} days of each order.",
    "The Customer inspects each delivery and reports visible defects within {days} days.",
    "Payment is due {days} days after receipt of a proper invoice.",
    "The parties treat what they learn about each other's business as confidential.",
    "Notices are valid in text form and are sent to the addresses given on the first page.",
    "Should a provision be void, the others remain in force.",
    "The Supplier keeps insurance of at least {money} for the whole term.",
    "Changes of this Agreement need the signature of both parties.",
    "The Supplier names a contact person who can be reached on working days from 9 to 17.",
    "Spare parts are kept available for {years} years after the last delivery.",
    "The goods remain the Supplier's property until they are paid for.",
    "Events outside of a party's control release it from its duties for as long as they last.",
    "The Customer provides access to its sites during ordinary working hours.",
    "Both parties comply with the rules on safety at work that apply at the site.",
    "The Supplier trains up to {n} employees of the Customer before the first delivery.",
    "Samples are kept for {days} days and then returned.",
)
TITLES = ("Scope", "Delivery", "Term", "Remuneration", "Liability", "Rights", "Data", "Final provisions", "Notices")
PLANTED_EACH = 6  # times that a draw plants each phrasing, and each twin


@dataclass
class Contract:
    """A text, and for each flag that is raised by one of its clauses that clause."""

    name: str
    text: str = ""
    flags: dict[str, str] = field(default_factory=dict)


def contracts(draw: Draw, count: int, exam: bool) -> list[Contract]:
    """`count` contracts with the planted clauses spread over them; in the exam with phrasings that were never met."""
    clauses: list[dict[str, str]] = [{} for _ in range(count)]  # of each contract: flag -> clause
    twins: list[list[str]] = [[] for _ in range(count)]
    for flag, (usual, fresh, harmless) in FLAGS.items():
        places = draw.sample(range(count), count)
        for turn, phrasing in enumerate((usual[::2] + fresh if exam else usual) * PLANTED_EACH):
            clauses[places[turn % count]].setdefault(flag, _filled(phrasing, draw))
        others = draw.sample(range(count), count)
        for turn, twin in enumerate(harmless * PLANTED_EACH):
            twins[others[turn % count]].append(_filled(twin, draw))
    return [_written(f"c{at}", clauses[at], twins[at], draw) for at in range(count)]


def _filled(text: str, draw: Draw) -> str:
    days, years = draw.choice((14, 30, 45, 60, 90)), draw.choice((2, 3, 5))
    return text.format(days=days, years=years, money=f"EUR {draw.choice((50, 100, 250))},000", n=draw.randint(2, 9))


def _written(name: str, flags: dict[str, str], twins: list[str], draw: Draw) -> Contract:
    customer, supplier = draw.sample(PARTIES, 2)
    body = [*flags.values(), *twins, *(_filled(text, draw) for text in draw.sample(FILLERS, 8))]
    draw.shuffle(body)
    text = f'Agreement between {supplier} (the "Supplier") and {customer} (the "Customer").\n'
    for number, start in enumerate(range(0, len(body), 3), 1):
        text += f"\n{number}. {draw.choice(TITLES)}\n" + " ".join(body[start : start + 3]) + "\n"
    return Contract(name, text, flags)
