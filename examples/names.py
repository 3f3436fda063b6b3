"""Names for invented people, of many origins: as they are written, and where that is not the Latin script, in it."""

FIRST = (
    "Aaliyah Abebe Agnieszka Aiko Aisha Alejandra Amélie Amir Andrés Anneke Antônio Astrid Ayesha Beatriz Bogdan "
    "Brianna Caleb Camila Carlos Chiamaka Chloé Conor Daniela Darius Deepak Denise Diego Đorđe Ebony Eduardo Eilidh "
    "Elif Emeka Emily Eszter Fatima Fernando Fiona François Gabriela Gérard Giulia Grace Guðrún Hannah Haruto "
    "Héctor Hiroshi Hugo Ibrahim Imani Inés Ingrid Isaac Ivana Jamal Jasmine Javier Jens Jiho João Jorge José "
    "Jürgen Kaito Kamala Karen Katarzyna Kealoha Keisha Kenji Khadija Kwame Lakshmi Lars Latoya Leilani Léa Liam "
    "Ligia Linh Lorena Łukasz Luz Mahmoud Malik Małgorzata Marcus María Mateo Mehmet Mei Michael Minh Mónica Mwangi "
    "Nadia Naomi Natália Ngozi Niamh Nikolai Noor Núria Oluwaseun Omar Óscar Pádraig Paolo Patience Patrick Paweł "
    "Pilar Priya Rachel Rafael Raúl Rebecca Renée Ricardo Rosa Ruth Samantha Saoirse Sergio Seo-yeon Siobhán Sofía "
    "Søren Stefan Svetlana Tamika Tariq Tatiana Terrence Thảo Thomas Tomás Tyrone Uchenna Valentina Vanessa Víctor "
    "Vikram Wanjiru Wei William Xavier Ximena Yara Yolanda Yusuf Zainab Zoë Zsófia Željko"
).split()
"""First names, in alphabetical order or nearly."""

LAST = (
    "Abdullah Achterberg Acosta Adeyemi Aguilar Åkesson Albright Álvarez Andersen Aoki Arslan Baptiste Barros "
    "Bauer Begaye Benítez Bergström Bianchi Blackwood Bondarenko Böhm Boudreaux Brandão Bui Carrasco Castañeda "
    "Çelik Cervantes Chaudhry Chukwu Contreras D'Angelo Dąbrowski Delacroix Desai Diallo Doğan Dubois Dvořák "
    "Eriksen Espinoza Etxeberria Farouk Fernandes Fitzgerald Fletcher Fontaine Friedman Fuentes Gallagher García "
    "Ghosh Gómez Gonçalves González Gutiérrez Haddad Hashimoto Hernández Hoang Horváth Hughes Ibáñez Ishikawa "
    "Jablonski Jefferson Jørgensen Kaplan Kaya Kealamakia Kekoa Kim Kowalczyk Kruger Kurosawa Lafayette Lê "
    "Leclerc Lindgren Lopes Lozano MacGregor Maldonado Marković Martínez Mbeki McAllister Mendoza Meyer Moreau "
    "Mukherjee Muñoz Nagy Nakamura Ndiaye Nguyễn Novák Nuñez O'Brien O'Connell Ó_Súilleabháin Oduya Okafor Olsen "
    "Ortiz Özdemir Pacheco Papadakis Park Patel Peña Pérez Petrov Pham Quiñones Quintero Rahman Ramírez Reyes "
    "Ríos Rodríguez Romero Rossi Sałata Sánchez Santos Schäfer Schröder Sepúlveda Silva Sokolov Sørensen Suárez "
    "Szabó Takahashi Tanaka Thibodeaux Thompson Torres Trần Tsosie Ueda Vasquez Vaughn Velázquez Virtanen Vo "
    "Wagner Walker Washington Weiß Whitehorse Wójcik Yamamoto Yang Yazzie Yılmaz Zając Zamora Zhang Zimmermann"
).split()
"""Last names; `_` stands for the space within one."""

OTHER_SCRIPTS = (
    ("Дмитрий", "Шевченко", "dmitri", "shevchenko"),
    ("Олена", "Коваль", "olena", "koval"),
    ("美玲", "陳", "meiling", "chen"),
    ("健太", "渡辺", "kenta", "watanabe"),
    ("지훈", "이", "jihoon", "lee"),
    ("Ελένη", "Νικολάου", "eleni", "nikolaou"),
    ("محمد", "الحسن", "mohammed", "alhassan"),
    ("प्रिया", "शर्मा", "priya", "sharma"),
    ("דוד", "כהן", "david", "cohen"),
    ("ሰላም", "ተስፋዬ", "selam", "tesfaye"),
)
"""First and last name, and both in the Latin script, as addresses have them."""
